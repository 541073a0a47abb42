"""How do orders become graded samples: benchmark, loop, rounds, forecast?

Begin with `order.Order` and `benchmark.open_benchmark`; `loop.generate` does the work.
"""

TRACKERS = ("wandb", "trackio", "mlflow")  # what may hear how a command gets on: see tracking.py
