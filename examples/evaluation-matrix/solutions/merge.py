NAME = "merge"


def sort(numbers, compare):
    if len(numbers) < 2:
        return list(numbers)
    middle = len(numbers) // 2
    left, right, found = sort(numbers[:middle], compare), sort(numbers[middle:], compare), []
    while left and right:
        found.append((right if compare(right[0], left[0]) else left).pop(0))
    return found + left + right
