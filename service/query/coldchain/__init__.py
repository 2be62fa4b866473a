"""The figures of cold storage: users, utilization, revenue and impact of cooling units.

Figures are exact: sums of decimals are never rounded, and a quotient is rounded once, to the nearest double.
"""
