// Draws the charts, and sorts and filters the table of entities. Reads nothing but the page.
"use strict";

const ROWS_AT_ONCE = 25;

function drawCharts() {
  const { config, specs } = JSON.parse(document.getElementById("charts").textContent);
  config.axisY.labelLimit = Math.min(240, Math.round(window.innerWidth * 0.3));
  config.axisTop.labelLimit = Math.min(100, Math.round(window.innerWidth * 0.13));
  // `ast`: expressions are interpreted, so that the page's policy need not allow code made of text.
  const options = { actions: false, ast: true, config, mode: "vega-lite", renderer: "svg" };
  return Promise.all(
    Object.entries(specs).map(([name, spec]) =>
      window.vegaEmbed(document.getElementById(`${name}-chart`), spec, options),
    ),
  );
}

function makeTable() {
  const table = document.getElementById("entities-table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];
  const filters = document.getElementById("filters");
  const [id, type, severity] = ["id", "type", "severity"].map((name) => document.getElementById(`filter-${name}`));
  const shown = document.getElementById("shown");
  const more = document.getElementById("more");
  let limit = ROWS_AT_ONCE;

  function matches(row) {
    const firing = row.dataset.severities;
    return (
      row.cells[0].dataset.value.toLowerCase().includes(id.value.trim().toLowerCase()) &&
      (!type.value || row.dataset.type === type.value) &&
      (!severity.value || (severity.value === "firing" ? firing !== "" : firing.split(" ").includes(severity.value)))
    );
  }

  function show() {
    const matching = new Set(rows.filter(matches));
    let visible = 0;
    const empty = headings.map(() => true);
    for (const row of body.rows) {
      row.hidden = !matching.has(row) || visible >= limit;
      visible += row.hidden ? 0 : 1;
      if (!row.hidden) {
        [...row.cells].forEach((cell, column) => (empty[column] &&= cell.dataset.value === ""));
      }
    }
    const hide = (cell, column) => (cell.hidden = empty[column] && matching.size > 0);
    headings.forEach(hide);
    rows.forEach((row) => [...row.cells].forEach(hide));
    shown.textContent = `${visible} of ${matching.size} shown`;
    more.hidden = visible === matching.size;
    more.textContent = `Show ${Math.min(ROWS_AT_ONCE * 4, matching.size - visible)} more`;
  }

  function sort(column) {
    const heading = headings[column];
    const number = heading.dataset.sort === "number";
    // Numbers begin with the largest, names with the first.
    const ascending = heading.ariaSort === "none" ? !number : heading.ariaSort === "descending";
    headings.forEach((each) => (each.ariaSort = "none"));
    heading.ariaSort = ascending ? "ascending" : "descending";
    const collator = new Intl.Collator("en", { numeric: true });
    const value = (row) => row.cells[column].dataset.value;
    const compare = (one, other) => (number ? Number(one) - Number(other) : collator.compare(one, other));
    rows.sort((one, other) => {
      const [first, second] = [value(one), value(other)];
      if (first === "" || second === "") {
        return (first === "") - (second === ""); // what has no value is last either way
      }
      return ascending ? compare(first, second) : compare(second, first);
    });
    body.append(...rows);
    show();
  }

  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(column));
    heading.append(button);
    heading.ariaSort = "none";
  });
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("input", () => {
    limit = ROWS_AT_ONCE;
    show();
  });
  more.addEventListener("click", () => {
    limit += ROWS_AT_ONCE * 4;
    show();
  });
  filters.hidden = false;
  show();
}

document.getElementById("unscripted").remove();
makeTable();
drawCharts().then(() => (document.documentElement.dataset.ready = ""));
