NAME = "insertion"


def sort(numbers, compare):
    found = []
    for number in numbers:
        place = len(found)
        while place and compare(number, found[place - 1]):
            place -= 1
        found.insert(place, number)
    return found
