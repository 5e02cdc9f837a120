# The newcomer's face of the Meson build. ./try and ./check need nothing installed before.
.PHONY: all check install clean

all: build/build.ninja
	ninja -C build

build/build.ninja:
	meson setup build

check:
	./check

install: all
	meson install -C build

clean:
	rm -rf build build-asan build-tsan
