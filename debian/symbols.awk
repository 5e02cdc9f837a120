# Makes the symbols file of libayre0 of the map of the library.
BEGIN {
  print "libayre.so.0 libayre0 #MINVER#"
  print "* Build-Depends-Package: libayre-dev"
}

/^AYRE_/ {
  node = $1
  version = substr(node, length("AYRE_") + 1)
  printf " %s@%s %s\n", node, node, version
}

/^[[:space:]]*ayre_/ {
  name = $1
  sub(/;$/, "", name)
  printf " %s@%s %s\n", name, node, version
}
