using System.Reflection;
using Microsoft.Extensions.Logging;

namespace Fairlead.Tests.Architecture;

/// <summary>An event id names one log message: operators filter and alert by it. Each slice owns a range.</summary>
public sealed class LogEventIdTests
{
    /// <summary>First id of the thousand that a class of messages may use.</summary>
    private static readonly Dictionary<string, int> Ranges = new(StringComparer.Ordinal)
    {
        ["CallLog"] = 1000,
        ["AuthenticationLog"] = 2000,
        ["AdminLog"] = 2000,
        ["EndpointLog"] = 2000,
        ["CatalogueLog"] = 3000,
        ["ConfigurationLog"] = 4000,
        ["IdempotencyLog"] = 5000,
        ["BudgetsLog"] = 6000,
        ["RedisLog"] = 6000,
        ["UpstreamLog"] = 7000,
        ["ChatClientFailures"] = 7000,
        ["RoutingLog"] = 8000,
        ["AuditingLog"] = 9000,
        ["ChainLog"] = 20000,
        ["AuditExportLog"] = 24000,
        ["ContentLog"] = 25000,
        ["ErasureLog"] = 26000,
        ["RemovalLog"] = 26000,
        ["LedgerLog"] = 9000,
        ["StorageLog"] = 10000,
        ["JobsLog"] = 11000,
        ["WebhooksLog"] = 12000,
        ["TelemetryLog"] = 13000,
        ["ResponsesLog"] = 14000,
        ["FilesLog"] = 15000,
        ["BatchesLog"] = 16000,
        ["SchedulingLog"] = 17000,
        ["RescueLog"] = 18000,
        ["CacheLog"] = 19000,
        ["PolicyLog"] = 22000,
        ["AccessLog"] = 23000,
        ["StoredProvidersLog"] = 23000,
        ["KeyExpiryLog"] = 23000,
    };

    private static readonly List<(string Type, string Method, int Id)> Messages =
    [
        .. from type in typeof(FairleadBuilder).Assembly.GetTypes()
           from method in type.GetMethods(BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
           let message = method.GetCustomAttribute<LoggerMessageAttribute>()
           where message is not null
           select (type.Name, method.Name, message.EventId),
    ];

    [Fact]
    public void EventIds_AreUnique()
    {
        Assert.True(Messages.Count > 40, $"Only {Messages.Count} messages were found.");
        var shared = Messages.GroupBy(message => message.Id).Where(group => group.Count() > 1)
            .Select(group => $"{group.Key}: {string.Join(", ", group.Select(message => $"{message.Type}.{message.Method}"))}");
        Assert.Empty(shared);
    }

    [Fact]
    public void EventIds_EveryLogMessage_AreInRangeOfTheirSlice()
    {
        var unknown = Messages.Select(message => message.Type).Distinct().Except(Ranges.Keys);
        Assert.Empty(unknown);
        Assert.All(Messages, message => Assert.InRange(message.Id, Ranges[message.Type] + 1, Ranges[message.Type] + 999));
    }
}
