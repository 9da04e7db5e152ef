wsgate: c.yaml: cannot be read: No such file or directory (os error 2)
