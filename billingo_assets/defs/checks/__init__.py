"""The asset checks: each compares expected with found, company by company."""
