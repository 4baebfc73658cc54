"""What is done to whole runs: start them, try again, look them over, compare them, pack them."""
