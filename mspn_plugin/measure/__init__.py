"""What a call costs: time, memory, multiply-adds."""
