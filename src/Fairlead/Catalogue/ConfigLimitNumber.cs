using System.Globalization;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Configuration;

namespace Fairlead.Catalogue;

/// <summary>A number of the limits object, read as <see cref="long"/> in units of its last decimal.</summary>
internal sealed class ConfigLimitNumber(LimitNumber number) : ConfigScalarType
{
    protected override string Expected(ConfigReadContext context) => number.Expected;

    protected override object? Parse(string text, ConfigReadContext context, out string problem) =>
        // People write large numbers in YAML as 1_000_000.
        number.TryRead(text.Replace("_", "", StringComparison.Ordinal), out var units, out problem) ? units : null;

    public override JsonObject Schema() => new()
    {
        ["type"] = number.Decimals == 0 ? "integer" : "number",
        ["minimum"] = number.Min,
        ["maximum"] = number.Max,
    };

    public override string Describe() => string.Create(CultureInfo.InvariantCulture,
        $"{(number.Decimals == 0 ? "whole number" : "number")}, {number.Min:#,##0.##} to {number.Max:#,##0.##}");

    public override string? Format(object? value) =>
        value is IFormattable formattable ? formattable.ToString(null, CultureInfo.InvariantCulture) : null;
}
