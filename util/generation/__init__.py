"""How do orders become graded samples: benchmark, loop, rounds, forecast?"""
