"""What watches the system itself: the operations topic, the alarms, the dashboard."""
