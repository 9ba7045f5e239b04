"""What each command of `hwangso` takes, a module for each; `tree` holds all of them.

These modules read arguments, call what does the work, and turn known errors into CommandError.
"""
