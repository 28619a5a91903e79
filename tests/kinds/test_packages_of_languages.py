import pytest

from nexus.kinds.packages import package_name, read_packages
from nexus.kinds.reading import InvalidValue
from nexus.model.values import UNKNOWN, Value


@pytest.mark.parametrize(("language", "manager"), [("python", "pip"), ("node", "npm"), ("base", "apt")])
def test_bare_names_belong_to_the_language(language: str, manager: str):
    read = read_packages(["b", "a", "b"], language)
    assert read == {"apt": [], "pip": [], "npm": [], manager: ["a", "b"]}


def test_prefixes_win_over_the_language():
    read = read_packages(["apt:git", "npm:@types/node", "pandas"], "python")
    assert read == {"apt": ["git"], "npm": ["@types/node"], "pip": ["pandas"]}


def test_a_bare_name_of_an_unknown_language_says_what_to_write():
    with pytest.raises(InvalidValue) as caught:
        read_packages(["redis"], "")
    assert caught.value.code == "ambiguous-package"
    assert "apt:redis" in caught.value.hint


def test_what_is_not_known_yet_stays_unknown():
    assert read_packages(["redis"], UNKNOWN) is UNKNOWN
    assert read_packages(UNKNOWN, "python") is UNKNOWN
    assert read_packages({"pip": UNKNOWN}, "") == {"apt": [], "npm": [], "pip": UNKNOWN}


@pytest.mark.parametrize("value", [["--index-url x"], ["pip:-r"], {"gem": []}, "pandas", [3], [""], {"pip": ["a\nb"]}])
def test_what_is_no_package_is_refused(value: Value):
    with pytest.raises(InvalidValue):
        read_packages(value, "python")


@pytest.mark.parametrize(
    ("manager", "requirement", "name"),
    [
        ("pip", "Scikit_Learn[all]>=1.2; python_version>'3'", "scikit-learn"),
        ("npm", "@types/node@22", "@types/node"),
        ("npm", "typescript@5", "typescript"),
        ("apt", "nginx=1.2-3", "nginx"),
        ("apt", "jq", "jq"),
    ],
)
def test_names_of_packages(manager: str, requirement: str, name: str):
    assert package_name(manager, requirement) == name
