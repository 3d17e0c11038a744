"""What an operator looks at: queue, processes, throughput, health checks and metrics.

Does not import the pages of models.
"""
