using System.Globalization;
using System.Runtime.CompilerServices;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Delivery;

/// <summary>The headers that every response of a call has.</summary>
internal static class ReplyHeaders
{
    /// <summary>Writes them. Call after <c>Retry-After</c> is set.</summary>
    /// <param name="headers">The headers of the response.</param>
    /// <param name="call">The call.</param>
    /// <param name="error">The error of the response, or null.</param>
    public static void Write(IHeaderDictionary headers, GatewayCall call, GatewayError? error = null)
    {
        headers.CacheControl = "no-store";
        headers["Fairlead-Generation"] = call.GenerationId;
        headers["Api-Version"] = call.Caller.ApiVersion;
        if (call.Dialect.ErrorShape == ErrorShape.Anthropic) headers["request-id"] = call.RequestId;
        if (call.Answering is { } answering)
        {
            headers["Fairlead-Model"] = Ascii(call.ReportedModel);
            headers["Fairlead-Provider"] = Ascii(answering.Deployment.ProviderName);
        }
        if (call.Cache is { } cache)
        {
            headers["Fairlead-Cache"] = cache.ToWire();
            if (cache.Status == CacheStatus.Hit) headers.Age = ((long)cache.Age.TotalSeconds).ToString(CultureInfo.InvariantCulture);
        }
        headers["Server-Timing"] = ServerTiming(call);
        WriteNotices(headers, call, error);
    }

    /// <summary>
    /// The warnings and the limits of the call, for every response after its request was read. Call after <c>Retry-After</c> is set.
    /// </summary>
    /// <param name="headers">The headers of the response.</param>
    /// <param name="call">The call.</param>
    /// <param name="error">The error of the response, or null.</param>
    public static void WriteNotices(IHeaderDictionary headers, GatewayCall call, GatewayError? error = null)
    {
        var warnings = call.Warnings;
        if (warnings.Count > 0) headers["Fairlead-Warning"] = string.Join(", ", warnings.Select(warning => warning.Code).Distinct());
        LimitHeaders.Write(headers, call, error);
    }

    /// <summary>W3C Server-Timing of the phases so far, in milliseconds.</summary>
    internal static string ServerTiming(GatewayCall call)
    {
        var text = new DefaultInterpolatedStringHandler(0, 0, CultureInfo.InvariantCulture, stackalloc char[256]);
        var first = true;
        for (var phase = Phase.Auth; phase <= Phase.Total; phase++)
        {
            var ms = call.Timings.Milliseconds(phase);
            if (ms <= 0) continue;
            Append(ref text, ref first, CallTimings.Names[(int)phase], ms);
        }
        foreach (var (name, duration) in call.Timings.Own) Append(ref text, ref first, name, duration.TotalMilliseconds);
        if (call.Ending is null) Append(ref text, ref first, "total", call.Timings.Elapsed.TotalMilliseconds);
        return text.ToStringAndClear();
    }

    // In hundredths of a millisecond, without trailing zeros.
    private static void Append(ref DefaultInterpolatedStringHandler text, ref bool first, string name, double ms)
    {
        if (!first) text.AppendLiteral(", ");
        first = false;
        text.AppendLiteral(name);
        text.AppendLiteral(";dur=");
        var (whole, part) = Math.DivRem((long)((ms * 100) + 0.5), 100);
        text.AppendFormatted(whole);
        if (part == 0) return;
        text.AppendLiteral(part < 10 ? ".0" : ".");
        text.AppendFormatted(part % 10 == 0 ? part / 10 : part);
    }

    // Header values must be ASCII; the name of a model need not be.
    private static string Ascii(string value) => System.Text.Ascii.IsValid(value) ? value : Uri.EscapeDataString(value);
}
