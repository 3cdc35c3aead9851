"""What the claims on speed rest on: each row of the targets, measured against what a user would pick instead."""
