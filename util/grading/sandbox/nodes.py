"""What are LeetCode's lists and trees, and how do they travel as plain lists?

The driver gives `ListNode` and `TreeNode` to answers and calls `given` and `returned` around a call whose
annotations name them. An answer may bring classes of its own with these names. Standard library only.
"""

from __future__ import annotations

from typing import Any


class ListNode:
    def __init__(self, val: Any = 0, next: Any = None) -> None:
        self.val, self.next = val, next


class TreeNode:
    def __init__(self, val: Any = 0, left: Any = None, right: Any = None) -> None:
        self.val, self.left, self.right = val, left, right


KINDS = {"ListNode": ListNode, "TreeNode": TreeNode}


def given(value: Any, annotation: object, names: dict) -> Any:
    """An argument as its annotation asks for it: a list becomes nodes of a class in `names`."""
    text = _text(annotation)
    kind = next((name for name in KINDS if name in text), None)
    if kind is None or not isinstance(value, list):
        return value
    build = _chain if kind == "ListNode" else _tree
    node = names.get(kind, KINDS[kind])
    return [build(part, node) for part in value] if _holds_many(text) else build(value, node)


def returned(value: Any, annotation: object) -> Any:
    """A result in plain lists; nothing where nodes are promised is the empty list."""
    text = _text(annotation)
    if isinstance(value, list | tuple):
        return [returned(part, annotation) for part in value]
    if value is None:
        return [] if any(name in text for name in KINDS) else None
    name = type(value).__name__
    return _row(value) if name == "ListNode" else _levels(value) if name == "TreeNode" else value


def _text(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else str(annotation)


def _holds_many(text: str) -> bool:
    return "list[" in text.lower()


def _chain(values: Any, node: Any) -> Any:
    first = None
    for value in reversed(values or []):
        rest, first = first, node(value)
        first.next = rest
    return first


def _tree(values: Any, node: Any) -> Any:
    """Level by level; None stands for a child that is not there, and has no children in the list."""
    if not values or values[0] is None:
        return None
    root = node(values[0])
    parents = [root]
    for place, value in enumerate(values[1:]):
        if place // 2 >= len(parents):
            raise ValueError("a tree with values below a child that is not there")
        if value is not None:
            child = node(value)
            setattr(parents[place // 2], ("left", "right")[place % 2], child)
            parents.append(child)
    return root


def _row(node: Any) -> list:
    values = []
    while node is not None:
        values.append(node.val)
        node = node.next
    return values


def _levels(root: Any) -> list:
    values: list = []
    waiting = [root]
    for node in waiting:  # grows
        values.append(None if node is None else node.val)
        if node is not None:
            waiting += (node.left, node.right)
    while values[-1] is None:
        values.pop()
    return values
