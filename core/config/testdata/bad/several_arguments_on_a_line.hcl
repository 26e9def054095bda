node { name = "n", data_dir = "d" }
