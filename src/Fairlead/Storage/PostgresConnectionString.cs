using Npgsql;

namespace Fairlead.Storage;

/// <summary>
/// Reads a connection string: PostgreSQL's URI (<c>postgres://user:password@host/database</c>) or the driver's keywords
/// (<c>Host=…;Database=…</c>).
/// </summary>
internal static class PostgresConnectionString
{
    /// <summary>Connections of one node: enough for its few writers and readers, and ten nodes fit the server's default of 100.</summary>
    private const int DefaultPool = 10;

    private const int DefaultPort = 5432;

    /// <returns>The keywords, or null if the text has neither form. There is no reason, because any part may be the password.</returns>
    public static NpgsqlConnectionStringBuilder? Parse(string text)
    {
        try
        {
            var isUri = text.StartsWith("postgres://", StringComparison.OrdinalIgnoreCase)
                || text.StartsWith("postgresql://", StringComparison.OrdinalIgnoreCase);
            var builder = isUri ? FromUri(text) : new NpgsqlConnectionStringBuilder(text);
            if (builder is null || string.IsNullOrWhiteSpace(builder.Host)) return null;
            if (!IsSet(builder, "Application Name")) builder.ApplicationName = "fairlead";
            if (!IsSet(builder, "Maximum Pool Size")) builder.MaxPoolSize = Math.Max(DefaultPool, builder.MinPoolSize);
            // Shorter than a client waits.
            if (!IsSet(builder, "Timeout")) builder.Timeout = 5;
            if (!IsSet(builder, "Command Timeout")) builder.CommandTimeout = 30;
            builder.PersistSecurityInfo = false;
            builder.IncludeErrorDetail = false;
            return builder;
        }
        catch (Exception fault) when (fault is ArgumentException or FormatException or InvalidOperationException or OverflowException
            or KeyNotFoundException or NotSupportedException or InvalidCastException)
        {
            return null;
        }
    }

    private static bool IsSet(NpgsqlConnectionStringBuilder builder, string keyword) => builder.ShouldSerialize(keyword);

    private static NpgsqlConnectionStringBuilder? FromUri(string text)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var address) || address.Fragment.Length > 0) return null;
        var builder = new NpgsqlConnectionStringBuilder
        {
            Host = Uri.UnescapeDataString(address.Host.Trim('[', ']')),
            Port = address.Port > 0 ? address.Port : DefaultPort,
        };
        var user = address.UserInfo.Split(':', 2);
        if (user[0].Length > 0) builder.Username = Uri.UnescapeDataString(user[0]);
        if (user.Length == 2) builder.Password = Uri.UnescapeDataString(user[1]);
        if (address.AbsolutePath.Length > 1) builder.Database = Uri.UnescapeDataString(address.AbsolutePath[1..]);
        foreach (var part in address.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            var pair = part.Split('=', 2);
            if (pair.Length != 2) return null;
            var value = Uri.UnescapeDataString(pair[1]);
            if (pair[0] == "sslmode") value = value.Replace("-", "", StringComparison.Ordinal);
            builder[Keyword(Uri.UnescapeDataString(pair[0]))] = value;
        }
        return builder;
    }

    // The names of libpq, where the driver's differ.
    private static string Keyword(string name) => name switch
    {
        "sslmode" => "SSL Mode",
        "sslrootcert" => "Root Certificate",
        "sslcert" => "SSL Certificate",
        "sslkey" => "SSL Key",
        "connect_timeout" => "Timeout",
        "application_name" => "Application Name",
        "options" => "Options",
        "channel_binding" => "Channel Binding",
        "target_session_attrs" => "Target Session Attributes",
        _ => name,
    };
}
