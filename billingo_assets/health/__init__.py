"""How each company is, and why: rules, what they are judged by, the table and the plot."""
