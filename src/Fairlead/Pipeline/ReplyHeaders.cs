using System.Globalization;
using System.Text;
using Fairlead.Errors;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Pipeline;

/// <summary>The headers that every answer of a call carries.</summary>
internal static class ReplyHeaders
{
    public static void Write(HttpResponse response, GatewayCall call)
    {
        var headers = response.Headers;
        headers.CacheControl = "no-store";
        headers["Fairlead-Generation"] = call.GenerationId;
        headers["Api-Version"] = call.Caller.ApiVersion;
        if (call.Dialect.ErrorShape == ErrorShape.Anthropic) headers["request-id"] = call.RequestId;
        if (call.Answering is { } answering)
        {
            headers["Fairlead-Model"] = Ascii(call.Model.Id);
            headers["Fairlead-Provider"] = Ascii(answering.Deployment.ProviderName);
        }
        if (call.Warnings.Count > 0) headers["Fairlead-Warning"] = string.Join(", ", call.Warnings.Select(warning => warning.Code).Distinct());
        headers["Server-Timing"] = ServerTiming(call);
    }

    /// <summary>W3C Server-Timing of the phases passed so far, in milliseconds.</summary>
    internal static string ServerTiming(GatewayCall call)
    {
        var builder = new StringBuilder(96);
        for (var phase = Phase.Auth; phase <= Phase.Total; phase++)
        {
            var ms = call.Timings.Milliseconds(phase);
            if (ms <= 0) continue;
            Append(builder, CallTimings.Names[(int)phase], ms);
        }
        foreach (var (name, duration) in call.Timings.Own) Append(builder, name, duration.TotalMilliseconds);
        if (call.Ending is null) Append(builder, "total", call.Timings.Elapsed.TotalMilliseconds);
        return builder.ToString();
    }

    private static void Append(StringBuilder builder, string name, double ms)
    {
        if (builder.Length > 0) builder.Append(", ");
        builder.Append(name).Append(";dur=").Append(CultureInfo.InvariantCulture, $"{ms:0.##}");
    }

    // Header values are ASCII here; a model may be named otherwise.
    private static string Ascii(string value) => System.Text.Ascii.IsValid(value) ? value : Uri.EscapeDataString(value);
}
