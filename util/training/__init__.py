"""How do graded samples become training data?"""
