# Makes a string of C of a script; in a file, since Meson takes a backslash in an argument for a slash.
s/[\\"]/\\&/g
s/.*/"&\\n"/
