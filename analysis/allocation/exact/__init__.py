"""The exact choice of one candidate for each unit: least sum of one quantity, others limited.

Dynamic programming over a sum of tables, each of which depends on few units. Where units interact,
a unit is decided once for all of those that it interacts with (the state); for each state only
partial choices that no other one beats in everything are kept. Lagrangian bounds, exact for sums of
small tables, cut what cannot become better than the best choice known. What is kept is limited;
where the limit cuts, the best choice and the least that any choice could have are returned.
"""

from analysis.allocation.exact.dp import fill_exactly
from analysis.allocation.exact.problem import Problem, Table
from analysis.allocation.exact.solution import Solution, solve

__all__ = ["Problem", "Solution", "Table", "fill_exactly", "solve"]
