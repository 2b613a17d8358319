"""What runs when a pipeline job is accepted: templates, their tasks, and the processes that train."""
