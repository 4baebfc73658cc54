"""What a grade prediction is judged by, and how sure one may be of the figure."""
