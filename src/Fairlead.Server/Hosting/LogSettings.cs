using Fairlead.Telemetry;
namespace Fairlead.Server.Hosting;

/// <summary>How the console logs: <c>FAIRLEAD_LOG_LEVEL</c> and <c>FAIRLEAD_LOG_FORMAT</c>.</summary>
internal sealed record LogSettings(LogLevel Level, bool Json, string? Fault)
{
    public static LogSettings FromEnvironment(Func<string, string?> variable)
    {
        var level = LogLevel.Information;
        if (variable("FAIRLEAD_LOG_LEVEL") is { Length: > 0 } written
            && (!Enum.TryParse(written, ignoreCase: true, out level) || !Enum.IsDefined(level) || int.TryParse(written, out _)))
        {
            return new(LogLevel.Information, false,
                $"FAIRLEAD_LOG_LEVEL={written} is not a log level. Use one of {string.Join(", ", Enum.GetNames<LogLevel>())}.");
        }
        return variable("FAIRLEAD_LOG_FORMAT") switch
        {
            null or "" or "text" => new(level, false, null),
            "json" => new(level, true, null),
            var other => new(level, false, $"FAIRLEAD_LOG_FORMAT={other} is not a log format. Use text or json."),
        };
    }

    public void Apply(ILoggingBuilder logging, Func<bool> started)
    {
        logging.ClearProviders();
        logging.SetMinimumLevel(Level);
        if (Level > LogLevel.Debug)
        {
            logging.AddFilter("Microsoft", LogLevel.Warning);
            logging.AddFilter("System", LogLevel.Warning);
            // It logs nothing above Information, but if enabled, each request gets an activity and a log scope that is never read.
            logging.AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.None);
            // A failed start is explained in plain text; its stack trace would hide that.
            logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", level => level >= LogLevel.Warning && started());
        }
        if (Json)
        {
            logging.AddJsonConsole(options =>
            {
                options.UseUtcTimestamp = true;
                options.TimestampFormat = "yyyy-MM-dd'T'HH:mm:ss.fff'Z'";
            });
        }
        else
        {
            logging.AddSimpleConsole(options =>
            {
                options.SingleLine = true;
                options.UseUtcTimestamp = true;
                options.TimestampFormat = "HH:mm:ss.fff ";
            });
        }
        logging.Services.LimitAllLogging();
    }
}
