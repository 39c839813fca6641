"""This machine itself, without SSH. It is never rebooted from here."""

this_machine = ["@local"]
