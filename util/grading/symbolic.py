"""What does a second, symbolic engine say?"""


def enabled():
    return False


def same(a, b):
    return None
