"""What live sessions ask for: messages, devices, enrolment."""
