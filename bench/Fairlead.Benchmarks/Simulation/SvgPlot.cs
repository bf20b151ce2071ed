using System.Globalization;
using System.Net;
using System.Text;

namespace Fairlead.Benchmarks.Simulation;

/// <summary>One line of a plot.</summary>
/// <param name="Name">For the legend.</param>
/// <param name="Style">Number of its colour, 1 to 4.</param>
/// <param name="Values">At equal distances over the whole width.</param>
internal sealed record PlotLine(string Name, int Style, IReadOnlyList<double> Values);

/// <summary>A line plot over minutes as SVG. Its colours follow the colour scheme of the reader. Equal values give equal text.</summary>
internal sealed class SvgPlot
{
    private const double Width = 760;
    private const double Height = 320;
    private const double Left = 64;
    private const double Right = 16;
    private const double Top = 56;
    private const double Bottom = 44;
    private const int MinutesOfTick = 10;

    private const string Style = """
        <style>
        svg { --text: #1f2328; --grid: #d0d7de; --span: #eef1f4; --c1: #0969da; --c2: #bc4c00; --c3: #8250df; --c4: #57606a;
          background: #ffffff }
        @media (prefers-color-scheme: dark) {
          svg { --text: #e6edf3; --grid: #3d444d; --span: #1c2129; --c1: #58a6ff; --c2: #f0883e; --c3: #bc8cff; --c4: #9198a1;
            background: #0d1117 }
        }
        text { fill: var(--text) } .grid { stroke: var(--grid) } .span { fill: var(--span) }
        polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round }
        .c1 { stroke: var(--c1) } .c2 { stroke: var(--c2) } .c3 { stroke: var(--c3) }
        .c4 { stroke: var(--c4); stroke-dasharray: 5 4 }
        </style>

        """;

    public required string Title { get; init; }

    /// <summary>What it shows, for readers who do not see it.</summary>
    public required string Description { get; init; }

    public required string YTitle { get; init; }

    public required int Minutes { get; init; }

    public required IReadOnlyList<PlotLine> Lines { get; init; }

    /// <summary>Spans of minutes with a background and a name.</summary>
    public IReadOnlyList<(int From, int To, string Name)> Spans { get; init; } = [];

    public override string ToString()
    {
        var max = NiceMax(Lines.Max(line => line.Values.Max()));
        var svg = new StringBuilder();
        svg.Append(Invariant($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" role=\"img\" "));
        svg.Append("aria-labelledby=\"t d\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n");
        svg.Append($"<title id=\"t\">{Text(Title)}</title>\n<desc id=\"d\">{Text(Description)}</desc>\n");
        svg.Append(Style);
        svg.Append(Invariant($"<text x=\"{Left}\" y=\"20\" font-size=\"15\" font-weight=\"600\">{Text(Title)}</text>\n"));
        foreach (var (from, to, name) in Spans)
        {
            svg.Append(Invariant(
                $"<rect class=\"span\" x=\"{X(from):0.#}\" y=\"{Top}\" width=\"{X(to) - X(from):0.#}\" height=\"{Height - Top - Bottom}\"/>\n"));
            svg.Append(Invariant(
                $"<text x=\"{(X(from) + X(to)) / 2:0.#}\" y=\"{Top + 14}\" text-anchor=\"middle\" font-size=\"11\">{Text(name)}</text>\n"));
        }
        for (var i = 0; i <= 4; i++)
        {
            var y = Y(max * i / 4, max);
            svg.Append(Invariant($"<line class=\"grid\" x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{y:0.#}\" y2=\"{y:0.#}\"/>"));
            svg.Append(Invariant($"<text x=\"{Left - 8}\" y=\"{y + 4:0.#}\" text-anchor=\"end\">{max * i / 4:#,0.##}</text>\n"));
        }
        for (var minute = 0; minute <= Minutes; minute += MinutesOfTick)
        {
            svg.Append(Invariant($"<text x=\"{X(minute):0.#}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{minute}</text>\n"));
        }
        var (middleX, middleY) = ((Left + Width - Right) / 2, (Top + Height - Bottom) / 2);
        svg.Append(Invariant($"<text x=\"{middleX:0.#}\" y=\"{Height - 8}\" text-anchor=\"middle\">minute</text>\n"));
        svg.Append(Invariant($"<text x=\"14\" y=\"{middleY:0.#}\" text-anchor=\"middle\" "));
        svg.Append(Invariant($"transform=\"rotate(-90 14 {middleY:0.#})\">{Text(YTitle)}</text>\n"));
        var x = Left;
        foreach (var line in Lines)
        {
            svg.Append(Invariant($"<polyline class=\"c{line.Style}\" points=\"{x:0.#},36 {x + 22:0.#},36\"/>"));
            svg.Append(Invariant($"<text x=\"{x + 28:0.#}\" y=\"40\">{Text(line.Name)}</text>\n"));
            x += 52 + (line.Name.Length * 6.4);
        }
        foreach (var line in Lines) svg.Append(Invariant($"<polyline class=\"c{line.Style}\" points=\"{Points(line, max)}\"/>\n"));
        return svg.Append("</svg>\n").ToString();
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static string Text(string text) => WebUtility.HtmlEncode(text);

    // The next of 1, 2, 4, 8 times a power of ten, which a quarter divides well.
    private static double NiceMax(double max)
    {
        if (max <= 0) return 1;
        var power = Math.Pow(10, Math.Floor(Math.Log10(max)));
        foreach (var factor in (ReadOnlySpan<double>)[1, 2, 4, 8])
        {
            if (factor * power >= max) return factor * power;
        }
        return 10 * power;
    }

    private static double Y(double value, double max) => Height - Bottom - (value / max * (Height - Top - Bottom));

    private double X(double minute) => Left + (minute / Minutes * (Width - Left - Right));

    private string Points(PlotLine line, double max)
    {
        var step = Minutes / (double)line.Values.Count;
        return string.Join(' ', line.Values.Select((value, i) => Invariant($"{X((i + 0.5) * step):0.#},{Y(value, max):0.#}")));
    }
}
