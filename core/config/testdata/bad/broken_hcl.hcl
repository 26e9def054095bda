node {
  name == "n"
}
}}
