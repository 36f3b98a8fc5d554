"""The state of each company, and why: the rules, the facts for them, the table and the plots."""
