"""The asset checks that stand where a sync log stood: each compares expected with found, company by company."""
