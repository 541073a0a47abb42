"""How do graded samples become preference pairs?"""
