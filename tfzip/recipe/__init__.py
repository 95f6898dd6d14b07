"""A list of steps in a TOML file that runs, resumes and reports."""
