"""How do graded samples become preference pairs?

Call `survey.survey`, `cutter.Cutter` and `writer.PairWriter`, in this order.
"""
