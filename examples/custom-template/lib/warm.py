"""Run once, while the template is built."""

import six

print("warm with six", six.__version__)
