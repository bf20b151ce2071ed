using System.Diagnostics.Metrics;
using System.Text;
using Fairlead.FunctionalTests.Common;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Fairlead.FunctionalTests.Policies;

/// <summary>Planted personal data and secrets are nowhere after their calls: not in logs, errors, metrics, files or the database.</summary>
public sealed class PolicyLeakTests
{
    private const string Email = "planted.person@example.org";

    private const string Key = "sk-proj-T3BlbkFJplantedplantedplantedplanted1234567890abcdefABCDEF";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("redact")]
    [InlineData("block")]
    public async Task Planted_InRequestsAndResponses_IsNowhere(string action)
    {
        var logged = new StringBuilder();
        var measured = new StringBuilder();
        using var listener = new MeterListener
        {
            InstrumentPublished = static (instrument, self) => self.EnableMeasurementEvents(instrument),
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            lock (measured)
            {
                measured.Append(instrument.Name);
                foreach (var tag in tags) measured.Append(' ').Append(tag.Key).Append('=').Append(tag.Value);
                measured.Append('\n');
            }
        });
        listener.Start();
        await using var world = await PolicyWorld.StartAsync("  cache: { enabled: true }", builder =>
        {
            builder.Logging.SetMinimumLevel(LogLevel.Trace);
            builder.Services.AddSingleton<ILoggerProvider>(new Collector(logged));
        });
        await world.AddPolicyAsync(
            $$"""{"id":"mail","type":"personal_data","kinds":["email"],"action":"{{action}}"}""",
            $$"""{"id":"key","type":"secrets","kinds":["known_key"],"action":"{{action}}"}""");
        var texts = new StringBuilder();
        foreach (var dialect in PolicyWorld.Dialects)
        {
            foreach (var stream in new[] { false, true })
            {
                // From the client, then from the provider.
                world.Pieces = ["fine"];
                texts.Append((await world.SendAsync(dialect, PolicyWorld.Body(dialect, $"I am {Email} with {Key}", stream))).Body);
                world.Pieces = ["She is planted.per", "son@exam", "ple.org with ", Key[..20], Key[20..], "."];
                texts.Append((await world.SendAsync(dialect, PolicyWorld.Body(
                    dialect, "Who?", stream, dialect == "chat" ? ",\"temperature\":0,\"fairlead\":{\"cache\":{\"mode\":\"on\"}}" : ""))).Body);
            }
        }
        using var job = await world.Gateway.Client.PostJsonAsync(
            "/v1/chat/completions", PolicyWorld.Body("chat", $"I am {Email} with {Key}"), [("Prefer", "respond-async"), ("Idempotency-Key", "j")]);
        texts.Append(await job.Content.ReadAsStringAsync(Token));
        if (job.StatusCode == System.Net.HttpStatusCode.Accepted && job.Headers.TryGetValues("Fairlead-Generation", out var ids))
            texts.Append(await world.Gateway.Client.GetStringAsync(new Uri($"/v2/generations/{ids.Single()}?wait=30", UriKind.Relative), Token));
        string audit;
        do audit = await world.Gateway.Admin.GetStringAsync(new Uri("/admin/v1/audit?limit=100", UriKind.Relative), Token);
        while (audit.Split("\"aud_").Length < 17);

        AssertClean("the responses", texts.ToString());
        AssertClean("the audit", audit);
        AssertClean("the provider's requests", world.Received);
        lock (logged) AssertClean("the log", logged.ToString());
        lock (measured)
        {
            AssertClean("the metrics", measured.ToString());
            Assert.Contains($"fairlead.policy.verdicts action={action} direction=input type=personal_data", measured.ToString(), StringComparison.Ordinal);
            Assert.Contains($"fairlead.policy.verdicts action={action} direction=output", measured.ToString(), StringComparison.Ordinal);
        }
        foreach (var file in Directory.EnumerateFiles(world.Gateway.DataDirectory, "*", SearchOption.AllDirectories))
        {
            // Locks have no content, and cannot be read.
            if (file.EndsWith(".held", StringComparison.Ordinal) || Path.GetFileName(file) == "lock") continue;
            await using var content = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var bytes = new MemoryStream();
            await content.CopyToAsync(bytes, Token);
            AssertClean(file, Encoding.Latin1.GetString(bytes.ToArray()));
        }
    }

    private static void AssertClean(string place, string text)
    {
        Assert.False(text.Contains("planted.person", StringComparison.Ordinal), $"The address is in {place}.");
        Assert.False(text.Contains("plantedplanted", StringComparison.Ordinal), $"The key is in {place}.");
    }

    private sealed class Collector(StringBuilder logged) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (logged) logged.AppendLine(formatter(state, exception)).AppendLine(exception?.ToString());
        }

        public void Dispose()
        {
        }
    }
}
