/*
 * The frame of a picture of `ayre bench --plot`, and what all its marks have.
 *
 * Invariant: whatever a text holds, the file stays well-formed; and every figure that is drawn can be read from
 * its mark as it is in the JSON.
 */
#include "command/bench_svg.h"

#include <math.h>
#include <string.h>

#include "command/command.h"
#include "command/output.h"

/*
 * Colours that are told apart by people who see fewer of them, too (after Okabe and Ito). No variables, which not every
 * viewer knows: what a mark stands for sets its colour, and the mark takes that.
 */
static const char style[] =
	"<style>\n"
	"text{font:13px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:#1f2933}\n"
	".paper{fill:#fcfcfa}.title{font-weight:600;font-size:15px}.note{fill:#616e7c;font-size:"
	"12px}\n"
	".grid{stroke:#e1e4e8}.axis{stroke:#9aa5b1}.spread{stroke:#1f2933;stroke-width:2}\n"
	".floor,.at-floor{color:#7b8794}.ayre,.mapped{color:#00875f}.peer,.calls{color:#0072b2}"
	".bare{color:#8e5ea2}.shared_memory{color:#56a0d3}\n"
	".s1{color:#0072b2}.s2{color:#8e5ea2}.s3{color:#d55e00}.s4{color:#b8860b}\n"
	".bar,.band,.dot,.name{fill:currentColor}.band{opacity:.16}.name{font-weight:600}\n"
	".dot{stroke:#fcfcfa;stroke-width:1.5}\n"
	".line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}\n"
	".floor.line,.at-floor{stroke:currentColor;stroke-width:1.5;stroke-dasharray:6 4}"
	".ayre.line{stroke-width:3}.leader{stroke:currentColor;opacity:.6}\n"
	"@media(prefers-color-scheme:dark){text{fill:#e4e7eb}.paper{fill:#12171d}.note{fill:#"
	"9aa5b1}"
	".grid{stroke:#26303a}.axis{stroke:#616e7c}.spread{stroke:#e4e7eb}.dot{stroke:#12171d}\n"
	".floor,.at-floor{color:#9aa5b1}.ayre,.mapped{color:#2fbf8f}.peer,.calls,.s1{color:#58a6e0}"
	".bare,.s2{color:#c39bd3}.shared_memory{color:#8cc4ea}.s3{color:#ff8c42}.s4{color:#e3b341}"
	".bar,.band,.dot,.name{fill:currentColor}}\n"
	"</style>\n";

const char *bench_svg_side(enum bench_side side)
{
	static const char *const classes[] = {
		[BENCH_FLOOR] = "floor",   [BENCH_CALLS] = "calls",
		[BENCH_MAPPED] = "mapped", [BENCH_MEMORY] = "shared_memory",
		[BENCH_PEER] = "peer",     [BENCH_AYRE] = "ayre",
		[BENCH_BARE] = "bare",
	};

	return classes[side];
}

void bench_svg_text(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			fputs("&lt;", file);
		else if (*text == '&')
			fputs("&amp;", file);
		else if (*text == '\'')
			fputs("&apos;", file);
		else if ((unsigned char)*text < ' ')
			fputc('?', file);
		else
			fputc(*text, file);
	}
}

void bench_svg_data(FILE *file, const struct bench_group_result *group, size_t row)
{
	fprintf(file, " data-group='%s' data-row='%s' data-median='%lld'", group->group->name,
	        group->group->rows[row].name, llround(group->rows[row].value.median));
}

void bench_svg_tooltip(FILE *file, const struct bench_group_result *group, size_t row)
{
	const struct bench_row_result *result = &group->rows[row];
	char median[32], low[32], high[32], ratio[16];

	fputs("<title>", file);
	bench_svg_text(file, group->group->rows[row].label);
	fprintf(file, ", %s: %s [%s - %s]", group->group->name,
	        bench_format(group, result->value.median, median),
	        bench_format(group, result->value.q1, low),
	        bench_format(group, result->value.q3, high));
	if (result->floor)
		fprintf(file, ", %s times the floor",
		        bench_format_ratio(result->to_floor.median, ratio));
	fputs("</title>", file);
}

void bench_svg_rounds(FILE *file, const struct bench_settings *settings)
{
	fprintf(file, "%u rounds%s", settings->rounds,
	        settings->quick ? " (quick: a hint, not a claim)" : "");
}

void bench_svg_begin(FILE *file, const struct bench_machine *machine, int height)
{
	fprintf(file,
	        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' "
	        "height='%d' role='img'>\n<title>ayre bench: what was measured, beside its "
	        "floors</title>\n%s<rect class='paper' width='%d' height='%d'/>\n",
	        SVG_WIDTH, height, SVG_WIDTH, height, style, SVG_WIDTH, height);
	fprintf(file, "<text class='note' x='20' y='26'>%u processors, %s, Linux ",
	        machine->cpu_count, machine->architecture);
	/* Its version, and not who built it: pictures are shown to others. */
	fprintf(file, "%.*s", (int)strcspn(machine->kernel, "-+"), machine->kernel);
	fputs(", files on ", file);
	bench_svg_text(file, machine->file_system);
	fputs("</text>\n", file);
}

void bench_svg_end(FILE *file)
{
	fputs("</svg>\n", file);
}
