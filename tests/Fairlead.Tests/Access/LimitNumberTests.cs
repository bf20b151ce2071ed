using System.Globalization;
using CsCheck;
using Fairlead.Access;

namespace Fairlead.Tests.Access;

public sealed class LimitNumberTests
{
    [Theory]
    [InlineData("1", 1)]
    [InlineData("1e3", 1000)]
    [InlineData("1E+3", 1000)]
    [InlineData("1.50e1", 15)]
    [InlineData("1000e-2", 10)]
    [InlineData("7.0", 7)]
    [InlineData("0.0001e5", 10)]
    [InlineData("1000000000000000", 1_000_000_000_000_000)]
    [InlineData("1e15", 1_000_000_000_000_000)]
    public void TryRead_WholeNumberInAnyNotation_IsAccepted(string text, long expected)
    {
        Assert.True(LimitNumber.Count.TryRead(text, out var units, out _));
        Assert.Equal(expected, units);
    }

    [Theory]
    [InlineData("1.5", "Not a whole number.")]
    [InlineData("1e-1", "Not a whole number.")]
    [InlineData("1.0000000000000000000000000000000000000001", "Not a whole number.")]
    [InlineData("0", "Out of range.")]
    [InlineData("-0", "Out of range.")]
    [InlineData("-1", "Out of range.")]
    [InlineData("-1.5", "Out of range.")]
    [InlineData("1000000000000001", "Out of range.")]
    [InlineData("1e400", "Out of range.")]
    [InlineData("1e99999999999999999999", "Out of range.")]
    [InlineData("1e-99999999999999999999", "Not a whole number.")]
    [InlineData("9223372036854775808", "Out of range.")]
    [InlineData("18446744073709551617", "Out of range.")]
    [InlineData("NaN", "Not a number.")]
    [InlineData("Infinity", "Not a number.")]
    [InlineData("", "Not a number.")]
    [InlineData("-", "Not a number.")]
    [InlineData("1.", "Not a number.")]
    [InlineData(".5", "Not a number.")]
    [InlineData("1e", "Not a number.")]
    [InlineData("1e+", "Not a number.")]
    [InlineData("1 000", "Not a number.")]
    [InlineData("0x10", "Not a number.")]
    [InlineData("１", "Not a number.")]
    public void TryRead_NotAPositiveWholeNumber_ReportsProblem(string text, string problem)
    {
        Assert.False(LimitNumber.Count.TryRead(text, out _, out var found));
        Assert.Equal(problem, found);
    }

    [Theory]
    [InlineData("0", 0)]
    [InlineData("0.000000000000", 0)]
    [InlineData("-0.0", 0)]
    [InlineData("0e999999999999", 0)]
    [InlineData("0.000000000001", 1)]
    [InlineData("1e-12", 1)]
    [InlineData("12.5", 12_500_000_000_000)]
    [InlineData("9000000", 9_000_000_000_000_000_000)]
    [InlineData("8999999.999999999999", 8_999_999_999_999_999_999)]
    [InlineData("0.1000000000000000000000", 100_000_000_000)]
    public void TryRead_Usd_ReturnsExactPicodollars(string text, long expected)
    {
        Assert.True(LimitNumber.Usd.TryRead(text, out var pico, out _));
        Assert.Equal(expected, pico);
    }

    [Theory]
    [InlineData("0.0000000000001", "More than 12 decimals.")]
    [InlineData("1e-13", "More than 12 decimals.")]
    [InlineData("9000000.000000000001", "Out of range.")]
    [InlineData("9000001", "Out of range.")]
    [InlineData("-0.01", "Out of range.")]
    public void TryRead_UsdOutsideItsRange_ReportsProblem(string text, string problem)
    {
        Assert.False(LimitNumber.Usd.TryRead(text, out _, out var found));
        Assert.Equal(problem, found);
    }

    [Fact]
    public void TryRead_WhatToDecimalReturns_IsTheSameValue() =>
        Gen.Select(Gen.Long[0, 9_000_000_000_000_000_000], Gen.Bool).Sample((pico, hasExponent) =>
        {
            var usd = LimitNumber.Usd.ToDecimal(pico);
            var text = hasExponent ? (usd * 1000).ToString(CultureInfo.InvariantCulture) + "e-3" : usd.ToString(CultureInfo.InvariantCulture);
            return LimitNumber.Usd.TryRead(text, out var read, out _) && read == pico && LimitNumber.Usd.ToUnits(usd) == pico;
        });

    [Theory]
    [InlineData(9_999, false)]
    [InlineData(10_000, true)]
    [InlineData(1_000_000_000, true)]
    [InlineData(1_000_000_001, false)]
    public void Accepts_StoredWeight_ChecksItsRange(long millionths, bool isAccepted) =>
        Assert.Equal(isAccepted, LimitNumber.Weight.Accepts(millionths));
}
