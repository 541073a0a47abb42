"""What judges an answer?

Begin with `maths.grade_maths`, `choice.grade_choice` and `code.grade_code`; `pool` runs them in processes.
"""
