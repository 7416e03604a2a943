"""What is known of each student, tutor, subject and region, and what follows from it.

A batch's way: `arrivals` (what events say of whom), `facts` and `registers` (how it merges), `windows` (the figures),
`alerts`, `item` (the stored form), `plan` (all of these for one batch). Pure: no AWS client, no clock, no environment.
"""
