using System.CommandLine;
using Fairlead.Auditing.Content;
using Fairlead.Auditing.Exports;
using Fairlead.Auditing.Ledger;
using Fairlead.Http;
using Microsoft.Extensions.Primitives;

namespace Fairlead.Server.Commands;

/// <summary><c>fairlead audit export</c>: records from the database of this machine into a file, also while a server runs.</summary>
internal static class AuditExportCommand
{
    private const int NotWritten = 2;

    public static Command Build(Func<ParseResult, Func<AuditStore, Task<int>>, CancellationToken, Task<int>> run)
    {
        var format = new Option<string>("--format")
        {
            Description = "Format of the file.",
            DefaultValueFactory = _ => ExportFormats.Names[0],
        };
        format.AcceptOnlyFromAmong(ExportFormats.Names);
        var output = new Option<string>("--out")
        {
            Description = "The file; it is replaced when the new one is whole.",
            HelpName = "file",
            Required = true,
        };
        var command = new Command("export",
            "Write audit records to a file, newest first. Calls that ended within the last second may not be in the database yet.")
        {
            format, output,
        };
        // Named as the parameters of the admin API, with hyphens.
        var filters = new List<(string Name, Option<string?> Option)>();
        foreach (var name in AuditQuery.FilterNames)
        {
            var option = new Option<string?>("--" + name.Replace('_', '-'))
            {
                Description = $"As the parameter `{name}` of `GET /admin/v1/audit`.",
                HelpName = "value",
            };
            filters.Add((name, option));
            command.Add(option);
        }
        var metadata = new Option<string[]>("--metadata")
        {
            Description = "Only calls whose metadata has this pair. Can be repeated.",
            HelpName = "key=value",
        };
        command.Add(metadata);
        var include = new Option<string?>("--include")
        {
            Description = "'content' for the recorded content of calls, too.",
            HelpName = "content",
        };
        include.AcceptOnlyFromAmong(ContentView.Value);
        command.Add(include);
        command.SetAction((parsed, cancellationToken) =>
        {
            var parameters = new Dictionary<string, StringValues>(StringComparer.Ordinal);
            foreach (var (name, option) in filters)
            {
                if (parsed.GetValue(option) is { } value) parameters[name] = value;
            }
            foreach (var pair in parsed.GetValue(metadata) ?? [])
            {
                var at = pair.IndexOf('=', StringComparison.Ordinal);
                if (at < 0) return RefuseAsync(parsed.InvocationConfiguration.Error, $"--metadata {pair}: must be key=value.");
                parameters[AuditQuery.MetadataPrefix + pair[..at]] = pair[(at + 1)..];
            }
            var reader = new QueryReader(new QueryCollection(parameters), AuditQuery.FilterNames, AuditQuery.MetadataPrefix);
            var query = AuditQuery.ReadFilters(reader);
            if (reader.Error is { } error) return RefuseAsync(parsed.InvocationConfiguration.Error, error.Message);
            return run(parsed, store => WriteAsync(
                store, query, ExportFormats.Parse(parsed.GetValue(format)!), parsed.GetValue(output)!,
                parsed.GetValue(include) is not null, cancellationToken), cancellationToken);
        });
        return command;
    }

    private static async Task<int> RefuseAsync(TextWriter error, string message)
    {
        await error.WriteLineAsync(message);
        return NotWritten;
    }

    private static async Task<int> WriteAsync(
        AuditStore store, AuditQuery query, ExportFormat format, string file, bool hasContent, CancellationToken cancellationToken)
    {
        var exporter = new AuditExporter(
            store.Storage, new AuditReader(store.Storage), contents: new ContentView(store.Storage, store.Contents));
        var next = file + ".next";
        long count;
        try
        {
            await using (var output = new FileStream(next, FileMode.Create, FileAccess.Write, FileShare.Read, 64 * 1024, useAsync: true))
            {
                var first = await exporter.FirstAsync(query, cancellationToken);
                count = await exporter.WriteAsync(output, format, query, first, cancellationToken, hasContent);
            }
            File.Move(next, file, overwrite: true);
        }
        catch
        {
            File.Delete(next);
            throw;
        }
        await store.Output.WriteLineAsync($"Wrote {count} record(s) to {file}.");
        return 0;
    }
}
