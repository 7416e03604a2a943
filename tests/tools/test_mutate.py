"""The mutation runner changes what it says, loads the change, and notices what tests notice."""

import re
import subprocess
import sys

import pytest

from tools import mutate
from tools.mutate import ROOT, _Loader, main, mutants_of


def changes(source: str) -> list[str]:
    return [mutant.change for mutant in mutants_of("any.py", source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b <= c", ["a < b <= c -> a <= b <= c", "a < b <= c -> a < b < c"]),
        ("a is not None", ["a is not None -> a is None"]),
        ("a + b", ["a + b -> a - b"]),
        ("a += b", ["a += b -> a -= b"]),
        ("a and b", ["a and b -> a or b"]),
        ("not a", ["not a -> a"]),
        ("True", ["True -> False"]),
        ("7", ["7 -> 8"]),
        ("f()", ["f() -> pass"]),
        ("while a: break", ["break -> pass"]),
        ("raise a", ["raise a -> pass"]),
        ("def f(a: int | None): ...", []),
        ("'text'", []),
        (
            "dataclass(frozen=True, slots=True, order=True)",
            ["dataclass(frozen=True, slots=True, order=True) -> pass", "True -> False"],
        ),
        ("x = zip(a, b, strict=True)", []),
        ("x = convert(a, strict=True)", ["True -> False"]),
        ("class A(Struct, frozen=True, gc=False): ...", []),
    ],
)
def test_each_kind_of_change(source: str, expected: list[str]) -> None:
    assert changes(source) == expected


def test_the_source_itself_stays_as_it_is() -> None:
    one, other = mutants_of("any.py", "x = a < 1")
    assert (one.change, other.change) == ("a < 1 -> a <= 1", "1 -> 2")


def test_the_mutant_is_loaded_instead_of_the_file() -> None:
    file = "functions/aws/clock.py"
    (mutant,) = (each for each in mutants_of(file, (ROOT / file).read_text()) if "//" in each.change)
    loader = _Loader(mutant)
    spec = loader.find_spec("functions.aws.clock", None)
    assert loader.find_spec("functions.aws.table", None) is None
    namespace = type(sys)("mutated")
    spec.loader.exec_module(namespace)
    assert namespace.now_ms() > 10**24, "nanoseconds times a million"


def test_a_modules_own_tests_come_first() -> None:
    assert mutate.tests_of("functions/entities/registers.py")[0] == "tests/functions/entities/test_registers.py"
    assert mutate.tests_of("functions/entities/alerts/levels.py")[0] == "tests/functions/entities/test_alerts.py"
    assert mutate.tests_of("functions/aws/update.py")[-1] == "tests/functions/processor"


def test_a_place_that_does_not_exist_is_named() -> None:
    with pytest.raises(SystemExit, match=r"functions/nowhere\.py does not exist"):
        main(["functions/nowhere.py"])


def test_it_says_how_many_mutants_were_killed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.mutate", "functions/notifier/wording.py", "--sample", "3", "--most", "100"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(r"^[0-3] of 3 mutants killed \(", done.stdout, re.MULTILINE), done.stdout + done.stderr
    assert done.returncode == 0
