"""What runs when a job is accepted: kinds of jobs, their scripted outcomes, and the processes that train."""
