"""What every capability shares. Nothing in here imports anything heavy."""
