using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Records;

namespace Fairlead.Auditing.Exports;

/// <summary>
/// Comma-separated values (RFC 4180) in UTF-8. A text that a spreadsheet would read as a formula gets an apostrophe before it, which
/// spreadsheets take as the sign of a text: what a client named its end user must not run on the machine of an auditor.
/// </summary>
internal sealed class CsvRecordWriter(Stream output) : IRecordWriter
{
    private static readonly SearchValues<char> NeedsQuotes = SearchValues.Create(",\"\r\n;\t");
    private static readonly SearchValues<char> StartsFormula = SearchValues.Create("=+-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20");

    private readonly StringBuilder _line = new();
    private bool _hasNames;

    public async Task WriteAsync(StoredRecord record, CancellationToken cancellationToken)
    {
        await WriteNamesAsync(cancellationToken);
        using (var document = JsonDocument.Parse(record.Json, RecordJson.Reading))
        {
            foreach (var column in RecordColumn.All) Append(column, document.RootElement, record);
        }
        await EndLineAsync(cancellationToken);
    }

    public Task FinishAsync(CancellationToken cancellationToken) => WriteNamesAsync(cancellationToken);

    public ValueTask DisposeAsync() => default;

    private async Task WriteNamesAsync(CancellationToken cancellationToken)
    {
        if (_hasNames) return;
        _hasNames = true;
        foreach (var column in RecordColumn.All) Append(column.Name);
        await EndLineAsync(cancellationToken);
    }

    private void Append(RecordColumn column, JsonElement root, StoredRecord record)
    {
        switch (column.Kind)
        {
            case ColumnKind.Text: AppendText(column.TextOf(root, record)); break;
            case ColumnKind.Integer: Append(column.IntegerOf(root, record)?.ToString(CultureInfo.InvariantCulture)); break;
            case ColumnKind.Money: Append(column.MoneyOf(root)?.ToString(CultureInfo.InvariantCulture)); break;
            case ColumnKind.Number: Append(column.NumberOf(root)?.ToString(CultureInfo.InvariantCulture)); break;
            case ColumnKind.Time: Append(column.TimeOf(root)?.ToString("yyyy-MM-ddTHH:mm:ss.FFFFFFFZ", CultureInfo.InvariantCulture)); break;
        }
    }

    private void AppendText(string? text)
    {
        if (text is not { Length: > 0 })
        {
            Append(text);
            return;
        }
        // Spreadsheets ignore blanks at the start.
        var start = text.AsSpan().TrimStart(' ');
        if (start.Length > 0 && StartsFormula.Contains(start[0])) text = "'" + text;
        Append(text.AsSpan().ContainsAny(NeedsQuotes) || text[0] == ' ' || text[^1] == ' '
            ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text);
    }

    private void Append(string? field)
    {
        _line.Append(field).Append(',');
    }

    private async Task EndLineAsync(CancellationToken cancellationToken)
    {
        _line.Length--;
        _line.Append("\r\n");
        await output.WriteAsync(Encoding.UTF8.GetBytes(_line.ToString()), cancellationToken);
        _line.Clear();
    }
}
