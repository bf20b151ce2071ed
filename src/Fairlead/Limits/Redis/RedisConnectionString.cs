using System.Globalization;
using StackExchange.Redis;

namespace Fairlead.Limits.Redis;

/// <summary>
/// Reads a connection string: an address (<c>redis://user:password@host:port/database</c>, <c>rediss://</c> for TLS) or the driver's words
/// (<c>host:port,password=…</c>).
/// </summary>
internal static class RedisConnectionString
{
    private const int DefaultPort = 6379;

    /// <summary>
    /// How long the heartbeat waits for a response, in milliseconds, unless the connection string says otherwise. Calls wait for a shorter
    /// time; see <see cref="RedisWatch"/>.
    /// </summary>
    private const int ResponseTimeout = 1000;

    /// <returns>The options, or null if the text has neither form. There is no reason, because any part may be the password.</returns>
    public static ConfigurationOptions? Parse(string text)
    {
        try
        {
            var isAddress = text.StartsWith("redis://", StringComparison.OrdinalIgnoreCase)
                || text.StartsWith("rediss://", StringComparison.OrdinalIgnoreCase);
            var options = isAddress ? FromAddress(text) : ConfigurationOptions.Parse(text);
            if (options is null || options.EndPoints.Count == 0) return null;
            if (isAddress || !text.Contains("asyncTimeout", StringComparison.OrdinalIgnoreCase)) options.AsyncTimeout = ResponseTimeout;
            options.ClientName ??= "fairlead";
            // While Redis is unavailable, calls are not queued for it, and the connection is tried again in the background.
            options.AbortOnConnectFail = false;
            options.BacklogPolicy = BacklogPolicy.FailFast;
            options.ReconnectRetryPolicy = new LinearRetry(500);
            return options;
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or OverflowException or InvalidCastException)
        {
            return null;
        }
    }

    private static ConfigurationOptions? FromAddress(string text)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var address) || address.Host.Length == 0) return null;
        if (address.Query.Length > 0 || address.Fragment.Length > 0) return null;
        var options = new ConfigurationOptions { Ssl = address.Scheme.Equals("rediss", StringComparison.OrdinalIgnoreCase) };
        options.EndPoints.Add(address.Host.Trim('[', ']'), address.Port > 0 ? address.Port : DefaultPort);
        var user = address.UserInfo.Split(':', 2);
        if (user[0].Length > 0) options.User = Uri.UnescapeDataString(user[0]);
        if (user.Length == 2) options.Password = Uri.UnescapeDataString(user[1]);
        if (address.AbsolutePath.Length <= 1) return options;
        if (!int.TryParse(address.AbsolutePath.AsSpan(1), NumberStyles.None, CultureInfo.InvariantCulture, out var database)) return null;
        options.DefaultDatabase = database;
        return options;
    }
}
