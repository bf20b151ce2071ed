using System.Globalization;
using Fairlead.Access;
using Fairlead.Dialects;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Http;

/// <summary>Reads the headers that can replace fields of the <c>fairlead</c> object. The object has precedence.</summary>
internal static class ExtensionHeaders
{
    private const string ClassHeader = "Fairlead-Class";
    private const string DeadlineHeader = "Fairlead-Deadline-Ms";

    /// <summary>Applies the headers to <paramref name="call"/>, whose body was read.</summary>
    /// <returns>The error of a header, or of a class that the key may not use; null if there is none.</returns>
    public static GatewayError? Read(IHeaderDictionary headers, GatewayCall call)
    {
        var extension = call.Facts.Extension;
        if (extension.Class is null && headers.TryGetValue(ClassHeader, out var classes))
        {
            var name = classes.ToString();
            if (!CallClasses.All.Contains(name)) return GatewayError.Invalid(ClassHeader, UnknownClass);
            extension = extension with { Class = name };
        }
        if (extension.Deadline is null && headers.TryGetValue(DeadlineHeader, out var deadlines))
        {
            var (milliseconds, error) = ReadDeadline(deadlines.ToString());
            if (error is not null) return error;
            extension = extension with { Deadline = TimeSpan.FromMilliseconds(milliseconds) };
        }
        call.Facts.Extension = extension;

        var caller = call.Caller;
        call.Class = extension.Class ?? caller.DefaultClass;
        if (extension.Class is { } wanted && !caller.Classes.Contains(wanted))
        {
            return new GatewayError(ErrorCode.ClassNotAllowed,
                $"This key may not use the class `{wanted}`; it may use {string.Join(", ", caller.Classes.Order(StringComparer.Ordinal))}.")
            {
                Parameter = call.Dialect.ClassField,
            };
        }
        if (extension.Deadline is { } deadline) call.Deadline = call.StartedAt + deadline;
        return null;
    }

    private static readonly string UnknownClass =
        $"The header {ClassHeader} accepts {string.Join(", ", CallClasses.All.SkipLast(1))} or {CallClasses.All[^1]}.";

    // The range and the errors are those of the field `fairlead.deadline_ms`.
    private static (long Milliseconds, GatewayError? Error) ReadDeadline(string text)
    {
        const long Min = ExtensionReader.MinDeadlineMs, Max = ExtensionReader.MaxDeadlineMs;
        var isNegative = text.StartsWith('-');
        var digits = text.AsSpan(isNegative ? 1 : 0);
        if (digits.IsEmpty || digits.ContainsAnyExceptInRange('0', '9'))
            return (0, RequestErrors.Type(DeadlineHeader, "an integer", "other text").Error);
        // Too many digits for 64 bits is an error of range, not of type.
        if (!long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var value)) value = long.MaxValue;
        if (isNegative || value < Min) return (0, RequestErrors.Below(DeadlineHeader, Min).Error);
        return value > Max ? (0, RequestErrors.Above(DeadlineHeader, Max).Error) : (value, null);
    }
}
