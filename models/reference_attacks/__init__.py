"""AutoAttack's four attacks in plain PyTorch, which behave as its reference implementation does; see ../autoattack_reference.py."""
